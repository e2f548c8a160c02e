#!/bin/bash
# Runs inside the root file system of a node, once kind's files and ours are in it: what kind's own
# image build does after installing packages, with Debian's containerd in place of kind's build of it.
# Usage: setup.sh PAUSE_IMAGE
set -euo pipefail

sed -i "s#@PAUSE_IMAGE@#$1#" /etc/containerd/config.toml

# kind's unit, Debian's binary.
rm -f /lib/systemd/system/containerd.service /etc/systemd/system/containerd-fuse-overlayfs.service
sed -i 's#/usr/local/bin/containerd$#/usr/bin/containerd#' /etc/systemd/system/containerd.service

mkdir -p /opt/cni/bin /etc/cni/net.d /etc/kubernetes/manifests /kind/manifests
for plugin in host-local loopback portmap ptp; do
    cp "/usr/lib/cni/$plugin" /opt/cni/bin/
done

units=/lib/systemd/system
find $units/sysinit.target.wants -name systemd-tmpfiles-setup.service -delete
rm -f $units/{multi-user,local-fs,basic}.target.wants/* /etc/systemd/system/*.wants/*
rm -f $units/sockets.target.wants/*udev* $units/sockets.target.wants/*initctl*
# The messages of the machine's kernel would only confuse.
echo "ReadKMsg=no" >> /etc/systemd/journald.conf
ln -sf /lib/systemd/systemd /sbin/init
# Debian's defaults, most of which are the machine's and not a node's. kind's are in /etc/sysctl.d.
rm -f /usr/lib/sysctl.d/* /etc/sysctl.d/99-sysctl.conf
systemctl enable kubelet.service containerd.service undo-mount-hacks.service
# It would register interpreters in the machine's kernel.
systemctl mask systemd-binfmt.service

/usr/bin/ctr oci spec |
    jq '.hooks.createContainer += [{"path": "/kind/bin/mount-product-files.sh"}] | del(.process.rlimits)' \
        > /etc/containerd/cri-base.json

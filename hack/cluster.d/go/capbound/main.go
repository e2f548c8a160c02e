// Command capbound stands before runc and takes out of a container's specification what this
// machine cannot give: capabilities outside the bounding set, limits above the hard limit, and an
// OOM score below our own. Without it, `docker run --privileged` fails outright on such a machine.
// It grants nothing: runc would refuse each of these.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// In the kernel's numbering (linux/capability.h).
var capabilities = []string{
	"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID",
	"SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW",
	"IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT",
	"SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD",
	"LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG",
	"WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE",
}

// In the kernel's numbering (asm-generic/resource.h).
var limits = []string{
	"CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS", "NPROC", "NOFILE", "MEMLOCK", "AS", "LOCKS",
	"SIGPENDING", "MSGQUEUE", "NICE", "RTPRIO", "RTTIME",
}

type object = map[string]any

func main() {
	arguments := os.Args[1:]
	if err := trim(arguments); err != nil {
		fatal(err)
	}
	runc, err := exec.LookPath("runc")
	if err != nil {
		fatal(err)
	}
	fatal(syscall.Exec(runc, append([]string{runc}, arguments...), os.Environ()))
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, "capbound:", err)
	os.Exit(1)
}

// trim edits the specification that runc's arguments name, if they name one.
func trim(arguments []string) error {
	command, bundle, process := "", ".", ""
	for i, argument := range arguments {
		next := ""
		if i+1 < len(arguments) {
			next = arguments[i+1]
		}
		switch argument {
		case "create", "run", "exec":
			if command == "" {
				command = argument
			}
		case "--bundle", "-b":
			bundle = next
		case "--process", "-p":
			process = next
		}
	}
	switch {
	case command == "create" || command == "run":
		return edit(filepath.Join(bundle, "config.json"), func(specification object) object {
			process, _ := specification["process"].(object)
			return process
		})
	case command == "exec" && process != "":
		return edit(process, func(specification object) object { return specification })
	}
	return nil
}

func edit(path string, processOf func(object) object) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	specification := object{}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber() // a limit of 64 bits does not survive as a float
	if err := decoder.Decode(&specification); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if process := processOf(specification); process != nil {
		trimProcess(process)
	}
	if raw, err = json.Marshal(specification); err != nil {
		return err
	}
	return os.WriteFile(path, raw, 0o600)
}

func trimProcess(process object) {
	bounding := boundingSet()
	if sets, ok := process["capabilities"].(object); ok {
		for name, set := range sets {
			list, _ := set.([]any)
			sets[name] = keep(list, func(item any) bool {
				capability, _ := item.(string)
				return bounding[capability]
			})
		}
	}
	if bounding["CAP_SYS_RESOURCE"] {
		return
	}
	if number, ok := process["oomScoreAdj"].(json.Number); ok {
		score, err := number.Int64()
		if err != nil {
			fatal(err)
		}
		process["oomScoreAdj"] = max(score, ownScore())
	}
	if list, ok := process["rlimits"].([]any); ok {
		process["rlimits"] = keep(list, isWithinHardLimit)
	}
}

func keep(list []any, wanted func(any) bool) []any {
	kept := []any{}
	for _, item := range list {
		if wanted(item) {
			kept = append(kept, item)
		}
	}
	return kept
}

func boundingSet() map[string]bool {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		fatal(err)
	}
	set := map[string]bool{}
	for _, line := range strings.Split(string(status), "\n") {
		value, found := strings.CutPrefix(line, "CapBnd:")
		if !found {
			continue
		}
		mask, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		if err != nil {
			fatal(err)
		}
		for number, name := range capabilities {
			if mask&(1<<number) != 0 {
				set["CAP_"+name] = true
			}
		}
	}
	return set
}

func ownScore() int64 {
	raw, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		fatal(err)
	}
	score, err := strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64)
	if err != nil {
		fatal(err)
	}
	return score
}

func isWithinHardLimit(item any) bool {
	limit, _ := item.(object)
	kind, _ := limit["type"].(string)
	hard, _ := limit["hard"].(json.Number)
	wanted, err := strconv.ParseUint(hard.String(), 10, 64)
	if err != nil {
		return false
	}
	for number, name := range limits {
		if kind == "RLIMIT_"+name {
			var current syscall.Rlimit
			if err := syscall.Getrlimit(number, &current); err != nil {
				fatal(err)
			}
			return wanted <= current.Max
		}
	}
	return false
}

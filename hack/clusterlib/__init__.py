"""What hack/cluster and hack/base-image do; standard library only, so that a bare Python runs it."""

"""Run atomic layer deposition machines from Kubernetes: recipes in, valve pulses and records out."""

__version__ = "0.1.0"

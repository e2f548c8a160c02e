"""From a recipe and a machine to a program: compile, prove, estimate. Needs no hardware."""

"""What the operator has seen of the cluster: the newest version of each object, ended runs and actions left out."""

from __future__ import annotations

from collections.abc import Iterator

from ald.controller.apply import ACTION, MACHINE, RECIPE, RUN, Document, Kind, key_of, kind_of
from ald.controller.conditions import find
from ald.controller.names import Key
from ald.wire import RunAction

_ACTIONS = frozenset(action.value for action in RunAction)


class World:
    """Objects by kind and key. What the operator itself has written is put here at once, so that it never acts on less."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[Key, Document]] = {
            kind.kind: {} for kind in (MACHINE, RECIPE, RUN, ACTION)
        }
        # Uids of what has ended and is still in the cluster: a late version from before its end would bring it back to life.
        self._over: set[str] = set()
        self._safe_asked: dict[Key, tuple[str, str]] = {}

    def put(self, document: Document) -> bool:
        """Take in an object; returns False when a newer version of it is known already, or was when it ended."""
        known = self._objects[kind_of(document).kind]
        key = key_of(document)
        if document["kind"] == ACTION.kind and is_safe_state(document):
            machine = machine_of(document)
            self._safe_asked[machine] = max(self.safe_asked(machine), creation_order(document))
        old = known.get(key)
        if old is not None and _is_older(document, old):
            return False
        if uid(document) in self._over and not has_ended(document):
            return False
        # Runs and actions that have ended need nothing more; thousands of them would only take memory.
        if has_ended(document) and not finalizers(document):
            known.pop(key, None)
            self._over.add(uid(document))
        else:
            known[key] = _without_managed_fields(document)
        return True

    def remove(self, document: Document) -> None:
        """Forget an object that is gone; another object of the same name stays."""
        self._over.discard(uid(document))
        known = self._objects[kind_of(document).kind]
        key = key_of(document)
        old = known.get(key)
        if old is not None and uid(old) == uid(document):
            del known[key]

    def find(self, kind: Kind, key: Key) -> Document | None:
        """Return an object, or None."""
        return self._objects[kind.kind].get(key)

    def all(self, kind: Kind, namespace: str = "") -> Iterator[Document]:
        """Yield the objects of one kind, in all namespaces by default."""
        for key, document in self._objects[kind.kind].items():
            if not namespace or key.namespace == namespace:
                yield document

    def of_machine(self, kind: Kind, machine: Key) -> list[Document]:
        """Return the runs or actions that name this machine, in the order they were created."""
        found = [each for each in self.all(kind, machine.namespace) if machine_of(each) == machine]
        return sorted(found, key=creation_order)

    def safe_asked(self, machine: Key) -> tuple[str, str]:
        """Return the `creation_order` of the newest action that makes this machine safe, whatever became of it; ("", "") for none."""
        return self._safe_asked.get(machine, ("", ""))


def uid(document: Document) -> str:
    """Return what an object is identified by over its whole life."""
    return str(document["metadata"].get("uid", ""))


def generation(document: Document) -> int:
    """Return the count of changes of an object's spec."""
    return int(document["metadata"].get("generation", 0))


def is_deleting(document: Document) -> bool:
    """Return whether the object's deletion has been asked for."""
    return bool(document["metadata"].get("deletionTimestamp"))


def finalizers(document: Document) -> list[str]:
    """Return the finalizers that keep an object."""
    return list(document["metadata"].get("finalizers") or [])


def machine_of(document: Document) -> Key:
    """Return the machine that a run or an action names."""
    return Key(document["metadata"]["namespace"], document["spec"]["machineRef"]["name"])


def creation_order(document: Document) -> tuple[str, str]:
    """Return what runs queue by: time of creation, then name."""
    meta = document["metadata"]
    return (meta.get("creationTimestamp", ""), meta["name"])


def is_safe_state(action: Document) -> bool:
    """Return whether an action asks for the safe state."""
    return bool(action["spec"]["verb"] == "SafeState")


def has_ended(document: Document) -> bool:
    """Return whether a run or an action has its outcome; False for every other kind."""
    return find(document, "Succeeded").get("status") in ("True", "False")


def wants_end(run: Document) -> bool:
    """Return whether a run has to be aborted: by its action, or because it is being deleted."""
    return run["spec"].get("action") == "Abort" or is_deleting(run)


def wanted_action(run: Document) -> RunAction:
    """Return what a run is to do; of one that is to be aborted, what it did before."""
    action = run["spec"].get("action", "Run")
    return RunAction(action) if action in _ACTIONS else RunAction.RUN


def waits_in_queue(run: Document) -> bool:
    """Return whether a run that no gateway has takes a place before others: no dry run, and none that is paused."""
    is_paused = wanted_action(run) is RunAction.PAUSE
    return not has_ended(run) and not run["spec"].get("dryRun") and not is_paused


def wants_start(run: Document) -> bool:
    """Return whether a run that no gateway has is to be handed to one."""
    return not wants_end(run) and wanted_action(run) is RunAction.RUN


def was_handed_over(run: Document) -> bool:
    """Return whether a gateway has taken the run, as its status says."""
    return bool(run.get("status", {}).get("gatewaySession"))


def _is_older(document: Document, than: Document) -> bool:
    """Resource versions of one kind are comparable as integers; without them (in tests) the last one wins."""
    ours, theirs = (each["metadata"].get("resourceVersion", "") for each in (document, than))
    if uid(document) != uid(than) or not (ours.isdigit() and theirs.isdigit()):
        return False
    return int(ours) < int(theirs)


def _without_managed_fields(document: Document) -> Document:
    meta = {k: v for k, v in document["metadata"].items() if k != "managedFields"}
    return {**document, "metadata": meta}

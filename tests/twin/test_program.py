"""Random programs of loads, additions, stores, flags and barriers: the checker complains exactly when a graph of starts
and ends, searched by brute force, has two accesses that nothing orders; and ordered programs give the same bits in
every order."""

from __future__ import annotations

import numpy as np
import pytest

from tests.twin import _native_module as native

MTE2, V, MTE3 = range(3)
EVENTS = [(MTE2, V), (V, MTE3), (V, MTE2), (MTE3, V), (MTE3, MTE2), (MTE2, MTE3)]
BARRIERS = [V, MTE2, MTE3, None]  # None: all pipes
LOAD, ADD, STORE, SET, WAIT, BARRIER = range(1, 7)
LENGTH = 24


@pytest.fixture(autouse=True)
def _kernels(load_kernels):
    load_kernels("program")


def random_program(rng, sync):
    """(kind, a, b) of each operation; every flag set is waited for before it is set again and at the end."""
    program, raised = [], set()
    while len(program) + len(raised) < LENGTH:
        if rng.random() >= sync:
            kind = int(rng.integers(LOAD, STORE + 1))
            program.append((kind, int(rng.integers(4)), int(rng.integers(4))))
        elif rng.random() < 0.2:
            program.append((BARRIER, int(rng.integers(4)), 0))
        else:
            flag = (int(rng.integers(len(EVENTS))), int(rng.integers(2)))
            program.append((WAIT if flag in raised else SET, *flag))
            raised ^= {flag}
    return program + [(WAIT, *flag) for flag in sorted(raised)]


def accesses(kind, a, b):
    """(pipe, regions read, regions written)"""
    return {LOAD: (MTE2, set(), {a}), ADD: (V, {a}, {b}), STORE: (MTE3, {a}, set())}[kind]


def is_ordered(program):
    """Whether every conflicting pair is: the end of the earlier one is followed by the start of the later one."""
    edges: dict[tuple, set] = {}

    def edge(source, target):
        edges.setdefault(source, set()).add(target)

    gates = [[], [], []]  # nodes after which a pipe's later work starts
    ends = [[], [], []]  # ends of a pipe's work so far
    open_flags = {}
    for i, (kind, a, b) in enumerate(program):
        if kind in (LOAD, ADD, STORE):
            pipe = accesses(kind, a, b)[0]
            for gate in gates[pipe]:
                edge(gate, ("start", i))
            edge(("start", i), ("end", i))
            ends[pipe].append(("end", i))
        elif kind == SET:
            for node in ends[EVENTS[a][0]] + gates[EVENTS[a][0]]:
                edge(node, ("sync", i))
            open_flags[a, b] = ("sync", i)
        elif kind == WAIT:
            gates[EVENTS[a][1]].append(open_flags.pop((a, b)))
        else:
            pipes = range(3) if BARRIERS[a] is None else [BARRIERS[a]]
            for pipe in pipes:
                for node in ends[pipe] + gates[pipe]:
                    edge(node, ("sync", i))
            for pipe in pipes:
                gates[pipe].append(("sync", i))

    def reachable(source):
        seen, todo = set(), [source]
        while todo:
            for node in edges.get(todo.pop(), ()):
                if node not in seen:
                    seen.add(node)
                    todo.append(node)
        return seen

    work = [(i, *accesses(*op)) for i, op in enumerate(program) if op[0] in (LOAD, ADD, STORE)]
    for n, (i, pipe, reads, writes) in enumerate(work):
        after = reachable(("end", i))
        for j, other_pipe, other_reads, other_writes in work[n + 1:]:
            conflict = writes & (other_reads | other_writes)
            if pipe != other_pipe:  # inside a pipe a write never overtakes an earlier read
                conflict |= reads & other_writes
            if conflict and ("start", j) not in after:
                return False
    return True


def launch(program, **kwargs):
    numbers = [kind * 10000 + a * 100 + b for kind, a, b in program]
    rows = np.random.default_rng(0).standard_normal((len(program), 16)).astype(np.float32)
    return native.launch("program", [rows], [len(program), *numbers], [rows.nbytes], **kwargs)


@pytest.mark.parametrize("sync", [0.3, 0.6, 0.75, 0.85])
def test_the_checker_agrees_with_brute_force(sync):
    rng = np.random.default_rng(int(sync * 100))
    verdicts = []
    for _ in range(150):
        program = random_program(rng, sync)
        rules = native.rules(launch(program))
        assert rules <= {"missing-sync", "missing-barrier"}
        assert (not rules) == is_ordered(program), program
        verdicts.append(not rules)
    if sync > 0.6:
        assert 10 < sum(verdicts) < 140  # both kinds were there


def test_ordered_programs_do_not_depend_on_the_order():
    rng = np.random.default_rng(9)
    tried, changed = 0, 0
    for _ in range(150):
        program = random_program(rng, 0.8)
        right = launch(program, strict=False)["outputs"][0]
        orders = [("late", 0)] + [("random", seed) for seed in range(6)]
        same = all(np.array_equal(launch(program, strict=False, run_mode=mode, seed=seed)["outputs"][0], right)
                   for mode, seed in orders)
        if is_ordered(program):
            tried += 1
            assert same, program
        else:
            changed += not same
    assert tried > 20 and changed > 20

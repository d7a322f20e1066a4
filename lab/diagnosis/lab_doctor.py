"""The doctor for a lab in trouble: what is wrong with it, why that matters, and the command that repairs it.

`look_at_lab` (lab.diagnosis.lab_look) gathers what there is, `judge` says what is wrong with it and is pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.base.finding import Finding
from lab.base.process import shown
from lab.diagnosis.lab_look import DomainSeen, LabSeen, look_at_lab
from lab.nodes.clock import TOLERANCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab.diagnosis.node_look import NodeSeen, Unit
    from lab.host.host import Host
    from lab.planning.plan import Node, Plan

HOST_FULL_MIB = 512
"""free space below which a VM soon stops with an I/O error: its disk file grows while it works"""
GUEST_FULL_PERCENT = 97
"""used space from which databases and logs of a node stop being written"""
HOST_MEMORY_MIB = 300
"""available memory below which the kernel soon chooses a VM to kill"""
GUEST_MEMORY_MIB = 48


def diagnose_lab(plan: Plan, host: Host, build_dir: Path) -> list[Finding]:
    """Look at the lab and judge it; no finding where nothing of it exists."""
    if not host.exists():
        return []
    seen = look_at_lab(plan, host, build_dir)
    return judge(seen, plan) if is_there(seen) else []


def is_there(seen: LabSeen) -> bool:
    """Tell whether there is anything of the lab: on a machine's own libvirt, another's may be all that there is."""
    if seen.mode == "private":
        return True
    return bool(seen.networks or seen.left_over or any(d.state != "absent" for d in seen.domains.values()))


def judge(seen: LabSeen, plan: Plan) -> list[Finding]:
    """Say what is wrong with a lab, the cause before its consequences. Pure."""
    found = [*_space(seen), *_memory(seen), *_boxes(seen, plan), *_state(seen)]
    if seen.libvirtd:
        # An answer is worth reading; that there is none has no other cause than this one.
        found.append(
            _bad("libvirtd", f"libvirt ({seen.mode})", seen.libvirtd, _LIBVIRTD_WHY, _LIBVIRTD_MEND[seen.mode])
        )
    else:
        found += [_good("libvirtd", f"libvirt ({seen.mode})", "answers"), *_pool(seen), *_networks(seen, plan)]
        found += _volumes(seen)
    for node in plan.nodes:
        problems = [*_domain(seen, node), *_node(seen, node)]
        if not problems and (not seen.libvirtd or not isinstance(seen.nodes.get(node.name, ""), str)):
            problems = [_good(f"node-{node.name}", node.name, "runs and answers")]
        found += problems
    return [*found, *_cells(seen, plan)]


_LIBVIRTD_WHY = "virtual machines continue without it, but cannot be started, stopped or listed"
_LIBVIRTD_MEND = {"private": "lab up", "system": "systemctl restart libvirtd"}


def _good(name: str, what: str, found: str) -> Finding:
    return Finding(name, what, True, found)


def _bad(
    name: str, what: str, found: str, why: str, repair: str = "", *, fatal: bool = True, advice: str = ""
) -> Finding:
    return Finding(name, what, False, found, why, repair, fatal, advice)


def _space(seen: LabSeen) -> Iterator[Finding]:
    for path, free in seen.free_mib.items():
        if free < HOST_FULL_MIB:
            why = "the host's disk is full: virtual machines stop with an I/O error, logs and state are not written"
            yield _bad("host-disk", f"disk {path}", f"{free} MiB free", why, f"du -xh -d 2 {path} | sort -h | tail")


def _memory(seen: LabSeen) -> Iterator[Finding]:
    if seen.memory_available_mib < HOST_MEMORY_MIB:
        why = "the host runs out of memory: its kernel will kill a virtual machine"
        yield _bad("host-memory", "memory", f"{seen.memory_available_mib} MiB available", why, _WHO, advice=_LESS)
    if seen.oom_kills:
        why = "since boot, this host's kernel has killed a virtual machine because memory ran out"
        now = any(domain.reason for domain in seen.domains.values())  # else it is over
        yield _bad("host-oom", "memory", f"killed: {', '.join(seen.oom_kills)}", why, _WHO, fatal=now, advice=_LESS)


_WHO = "ps -eo rss,pid,args --sort=-rss | head"
_LESS = (
    "ask for less in nodes.*.memory of the spec, then `lab down` and `lab up`; "
    "this shows which processes use the memory"
)


def _boxes(seen: LabSeen, plan: Plan) -> Iterator[Finding]:
    for box in seen.boxes_missing:
        nodes = [node.name for node in plan.nodes if node.box == box]
        needed = any(seen.domains.get(name, DomainSeen()).state == "absent" for name in nodes)
        why = f"{', '.join(nodes)} cannot be created again without it"
        yield _bad(f"box-{box}", f"box {box}", "gone from the cache", why, "lab box build", fatal=needed)


def _state(seen: LabSeen) -> Iterator[Finding]:
    if seen.damaged:
        why = "it is not known which steps are done: every step runs again, which changes nothing that is right"
        yield _bad("state", "state.json", seen.damaged, why, f"rm {seen.damaged.partition(' is ')[0]}; lab up")


def _pool(seen: LabSeen) -> Iterator[Finding]:
    if seen.pool == "active":
        yield _good("pool", "pool default", "active")
    else:
        yield _bad("pool", "pool default", seen.pool, "the nodes' disks are in it, so no machine starts", "lab up")


def _networks(seen: LabSeen, plan: Plan) -> Iterator[Finding]:
    for network in plan.networks:
        name, what = f"network-{network.kind}", f"network {network.name}"
        if seen.networks.get(network.name):
            yield _good(name, what, "active")
        elif network.name in seen.networks:
            why = f"the nodes' {network.kind} interfaces are not connected, and machines that are off do not start"
            # A new bridge has no ports: libvirtd connects the running machines to it when it starts.
            repair = f"{_virsh('net-start', network.name)} && {seen.stop_libvirtd}; lab up"
            yield _bad(name, what, "inactive", why, repair)
        else:
            yield _bad(name, what, "missing", f"the nodes have no {network.kind} network", "lab down && lab up")


def _volumes(seen: LabSeen) -> Iterator[Finding]:
    for volume, ours in seen.left_over.items():
        why, repair = "a disk of this lab without its machine: `lab up` creates both again", "lab up"
        if not ours:
            why = "perhaps not of this lab: Vagrant refuses to create a machine if a disk of its name exists"
            repair = f"if nobody needs it: {_virsh('vol-delete', volume, '--pool', 'default')} && lab up"
        yield _bad(f"volume-{volume}", f"volume {volume}", "left over", why, repair)


def _domain(seen: LabSeen, node: Node) -> Iterator[Finding]:
    domain = seen.domains.get(node.name)
    if domain is None:  # libvirt does not answer
        return
    what = f"domain {node.domain}"
    if domain.state == "absent":
        yield _bad(f"domain-{node.name}", what, "absent", f"{node.name} has no machine", "lab up")
        return
    remove = f"{_virsh('destroy', node.domain)}; {_virsh('undefine', node.domain, '--remove-all-storage')} && lab up"
    if not domain.ours:
        why = f"a domain of that name exists that is not of this lab, so {node.name} cannot be created"
        if seen.mode == "system":
            yield _bad(f"domain-{node.name}", what, "not of this lab", why, advice="another `name` in the spec")
        else:
            yield _bad(f"domain-{node.name}", what, "not of this lab", why, remove)
        return
    if not domain.known_to_vagrant:
        why = "the machine was created, but Vagrant was interrupted before it recorded that"
        yield _bad(f"domain-{node.name}", what, "unknown to Vagrant", why, remove)
    if domain.base_gone:
        why = f"the disk of {node.name} needs that image: the machine cannot start again"
        yield _bad(f"base-{node.name}", f"box image {domain.base_gone}", "gone", why, "lab down && lab up")
    if domain.state != "running":
        repair = "lab unpause" if domain.state == "paused" else "lab up"
        why, advice = f"{node.name} does not run", ""
        if domain.state == "paused" and domain.reason:
            why, advice = f"{why}: the host's disk was full", "free space on the host first"
        found = f"{domain.state}: {domain.reason}" if domain.reason else domain.state
        yield _bad(f"domain-{node.name}", what, found, why, repair, advice=advice)


def _node(seen: LabSeen, node: Node) -> Iterator[Finding]:
    answer = seen.nodes.get(node.name)
    if isinstance(answer, str):
        domain = seen.domains.get(node.name)
        if domain is None:  # libvirt does not answer, and so nobody knows whether it runs
            return
        if domain.stuck:
            why = f"{node.name} stopped (on a busy host an emulated one may, in its boot), and does not go on by itself"
            repair = f"{_virsh('reset', node.domain)} && lab up"
            yield _bad(f"stuck-{node.name}", f"{node.name}: console", domain.stuck, why, repair)
            return
        repair = f"lab up\n{_virsh('reset', node.domain)} && lab up"
        advice = "use the second if the first does not succeed"
        if domain.address:
            why = f"it runs and has the address {domain.address}, but ssh does not answer: it is booting, or it hangs"
            yield _bad(f"ssh-{node.name}", f"{node.name}: ssh", answer, why, repair, advice=advice)
        else:
            why = "it runs, but has not asked for an address yet: it is booting, or it hangs; "
            why += f"its console: logs/{node.name}/console.log"
            yield _bad(f"address-{node.name}", f"{node.name}: address", "waiting for an IP", why, repair, advice=advice)
    elif answer is not None:
        yield from _guest(answer, node)


def _guest(seen: NodeSeen, node: Node) -> Iterator[Finding]:
    for space in seen.spaces:
        if space.used_percent >= GUEST_FULL_PERCENT:
            why = f"the disk of {node.name} is full: databases, queues and logs are not written"
            see = _on(node, f"sudo find {space.mount} -xdev -type f -size +50M -exec ls -sh {{}} +")
            repair = f"{_on(node, 'sudo journalctl --vacuum-size=20M')}\n{see}"
            advice = "the first empties the journal, the second names large files"
            found = f"{space.used_percent} % of the {'inodes' if space.what == 'inodes' else 'space'} used"
            yield _bad(f"{space.what}-{node.name}", f"{node.name}: {space.mount}", found, why, repair, advice=advice)
    again, more = "lab down && lab up", f"ask for more in nodes.{node.role}.memory of the spec first"
    if seen.memory_total_mib and seen.memory_available_mib < GUEST_MEMORY_MIB:
        found = f"{seen.memory_available_mib} of {seen.memory_total_mib} MiB available"
        yield _bad(
            f"memory-{node.name}", f"{node.name}: memory", found, "its kernel will kill a service", again, advice=more
        )
    if seen.oom_kills:
        why = f"the kernel of {node.name} killed it because memory ran out"
        yield _bad(
            f"oom-{node.name}", f"{node.name}: memory", f"killed: {', '.join(seen.oom_kills)}", why, again, advice=more
        )
    for unit in seen.units:
        yield _unit(unit, node)
    if abs(seen.clock_off_s) > TOLERANCE_S:
        why = "tokens, heartbeats and `service list` depend on the clock: services that work look dead"
        direction = "ahead" if seen.clock_off_s > 0 else "behind"
        found = f"at least {abs(seen.clock_off_s):.0f} s {direction}"
        yield _bad(f"clock-{node.name}", f"{node.name}: clock", found, why, "lab up")
    if seen.unknown:
        why = f"it could not tell {', or '.join(seen.unknown)}: a service hangs or is off, or the node is overloaded"
        repair = _on(node, "systemctl --failed; top -b -n 1 | head -n 20")
        yield _bad(f"unknown-{node.name}", node.name, "no answer", why, repair, fatal=False)
    if not seen.complete:
        why = f"it had no time to list its failed units; {node.name} or this host is overloaded"
        yield _bad(f"slow-{node.name}", node.name, "slow", why, _on(node, "top -b -n 1 | head -n 20"), fatal=False)
    if node.nested and not seen.kvm:
        yield _nested(seen, node)


def _unit(unit: Unit, node: Node) -> Finding:
    what = f"{node.name}: {unit.name}"
    log = _on(node, f"sudo journalctl -b -u {unit.name} -n 30")
    again = _on(node, f"sudo systemctl reset-failed {unit.name} && sudo systemctl start {unit.name}")
    if unit.limited or unit.result == "start-limit-hit":
        why = "it failed so often that systemd does not start it any more"
        return _bad(f"unit-{node.name}-{unit.name}", what, "in its restart limit", why, f"{log}\n{again}")
    if unit.state == "auto-restart":
        why = "it ends each time that it is started"
        return _bad(f"unit-{node.name}-{unit.name}", what, f"restarts again and again ({unit.result})", why, log)
    found = f"failed ({unit.result})"
    return _bad(f"unit-{node.name}-{unit.name}", what, found, "it does not run", f"{log}\n{again}")


def _nested(seen: NodeSeen, node: Node) -> Finding:
    why = "instances should run under KVM here (nodes.compute.nested)"
    if seen.cpu_flags:
        module = "kvm_amd" if "svm" in seen.cpu_flags else "kvm_intel"
        repair = _on(node, f"sudo modprobe {module}")
        return _bad(f"nested-{node.name}", f"{node.name}: nested virtualization", "no /dev/kvm", why, repair)
    advice = "enable nesting in the host's kvm module first: `lab doctor` names the command"
    what = f"{node.name}: nested virtualization"
    return _bad(f"nested-{node.name}", what, "off: no svm or vmx", why, "lab down && lab up", advice=advice)


def _cells(seen: LabSeen, plan: Plan) -> Iterator[Finding]:
    controller = plan.nodes[0]
    answer = seen.nodes.get(controller.name)
    if answer is None or isinstance(answer, str):
        return
    step = next((step.id for step in plan.steps if step.id.endswith("-discover-hosts")), None)
    if step is None:  # a release without cells
        return
    for host in sorted(answer.computes - answer.mapped):
        why = "no instance is scheduled there, because the host is not mapped to a cell"
        repair = _on(controller, f"sudo /opt/lab/run-step {step}")
        # Before that step has run it is no trouble: `lab up` comes to it.
        yield _bad(f"cell-{host}", f"{host}: cell", "not mapped", why, repair, fatal=step in answer.done)


def _virsh(*words: str) -> str:
    return f"lab exec -- {shown(['virsh', *words])}"


def _on(node: Node, line: str) -> str:
    return shown(["lab", "ssh", node.name, "--", line])

"""What an exercise does to a lab: the texts that go to its nodes."""

from __future__ import annotations

from lab.teaching.exercise.bench import restart_script


def test_workers_of_the_queue_do_not_end_in_their_own_time() -> None:
    kill, forget, restart = restart_script(["nova-api", "nova-compute"]).splitlines()
    assert kill.startswith("systemctl kill --signal=KILL nova-compute ")
    assert "nova-api nova-compute" in forget
    assert restart == "systemctl restart --no-block nova-api nova-compute"


def test_what_keeps_data_is_never_killed() -> None:
    assert "kill" not in restart_script(["mariadb", "rabbitmq-server", "glance-api"])

"""The suite for a running lab: plain testinfra, asked in rounds (docs/checks.md).

plan.json ── selection ──> checks ── registry: the function of each kind, in tests/infra
                                            │ host.run(…)
         plugin: runs what is known <── rounds: notes what is not ── wire: one ssh connection a node ──> node, tools
"""

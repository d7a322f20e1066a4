"""What the suite in tests/infra stands on: one round trip per node fetches the facts that many checks read.

    plan.json ── selection ──> checks ── registry: the needs of each kind ──> collectors ──> operations
                                                                                               │ one agent run per
    test functions <── facts: parsed, per node <── parse <── raw results <─────────────────────┘ node and lane

On an emulated node every process costs 50-300 ms and one `openstack` command ten seconds; asking for each of two
hundred checks on its own would take a quarter of an hour. So a check says what it needs, the needs of all selected
checks are merged, and a small program on the node (lab.verification.agent) answers them together.
"""

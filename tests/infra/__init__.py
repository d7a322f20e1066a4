"""The suite: pytest and testinfra against a running lab, parametrized from its plan.json (docs/checks.md)."""

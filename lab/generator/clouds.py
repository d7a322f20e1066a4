"""clouds.yaml, with which OpenStack clients outside the nodes log in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lab.openstack import identity_url

if TYPE_CHECKING:
    from lab.planning.plan import Plan

CLOUDS = "clouds.yaml"
ADMIN_PASSWORD = "ADMIN_PASS"
"""the guide's name of the administrator's password"""


def clouds_yaml(plan: Plan, password: str) -> str:
    """Write the administrator's clouds.yaml (openstacksdk, "Configuring OpenStack SDK Applications").

    The cloud has the lab's name. A string of JSON is one of YAML too, whatever is in the password.
    """
    return f"""\
# For openstacksdk, the openstack command, Ansible, Terraform: `lab exec -- openstack server list`.
clouds:
  {plan.name}:
    auth:
      auth_url: {json.dumps(identity_url(plan))}
      username: admin
      password: {json.dumps(password)}
      project_name: admin
      user_domain_name: Default
      project_domain_name: Default
    region_name: RegionOne
    identity_api_version: 3
"""

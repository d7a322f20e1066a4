"""What a healthy lab's logs may say at ERROR.

An error in the request of a user, which has the user's id in its line, is the user's: a server that fits nowhere, a
console of an instance that is gone. It tells of the service only when it is about what the service itself needs
(ALWAYS_BAD). An error without a user is the service's own, unless it is one of those below.

Each line was seen on a good installation; the pattern is searched in the lines of one block (see
lab.verification.tools).
"""

from __future__ import annotations

ALLOWED: tuple[tuple[str, str], ...] = (
    # keystone of zed logs a traceback for every 404, and the client looks names up by id first; epoxy logs a conflict
    # when a role that bootstrap made is created again
    ("/keystone/", r"keystone\.server\.flask\.application .*(Could not find|NotFound)"),
    ("/keystone/", r"Conflict occurred attempting to store role"),
    # neutron without service plugins, once per process
    ("/neutron/", r"Unable to process extensions \(auto-allocated-topology\)"),
    # agents that start before neutron-rpc-server answers ask again by themselves, as on every slow machine; that they
    # are alive is a check of its own
    ("-agent.log", r"MessagingTimeout|Timeout in RPC method"),
    # the agent asks Open vSwitch before it has told it to listen
    ("/neutron/neutron-openvswitch-agent.log", r"Unable to open stream to tcp:127\.0\.0\.1:6640"),
    # the controller was rebooted, or halted, while a compute node ran: it asks until somebody answers; that it has
    # reported itself since is a check of its own
    ("/nova/nova-compute.log", r"impl_rabbit .*(Trying again in|retrying in|Failed to consume message from queue)"),
    ("/nova/nova-compute.log", r"MessagingTimeout|keystoneauth1\.exceptions\.connection\.ConnectFailure"),
    # ocata's, at its very first start: it makes its record then
    ("/nova/nova-compute.log", r"No compute node record for host \S+$"),
    ("-agent.log", r"impl_rabbit .*(Trying again in|retrying in|Failed to consume message from queue)"),
    # an API under uwsgi sends no heartbeats between two requests: RabbitMQ hangs up, and it connects again
    # (a message that was sent, or the connection itself: oslo.messaging has a wording for each)
    (
        "-api.log",
        r"impl_rabbit .*(ECONNRESET|RecoverableConnectionError|Connection reset by peer|unexpectedly closed"
        r"|Too many heartbeats missed).*(Trying again|retrying) in",
    ),
    # a service was stopped in the middle of a query, and cannot end its transaction
    ("/", r"\.QueuePool .*\(2014, 'Command Out of Sync'\)"),
    # victoria's agents look for the device of each network before they make it
    ("-agent.log", r"ip_lib .*Device \S+ cannot be used as it has no MAC address"),
    # a power cut emptied the file, of a process that went with it: the agent starts another one
    ("/neutron/neutron-dhcp-agent.log", r"Unable to convert value in /var/lib/neutron/dhcp/\S+/pid$"),
    # an instance was deleted, and its tap is gone before its port
    ("/neutron/neutron-openvswitch-agent.log", r"VIF port: \S+ has no ofport configured or is invalid"),
    # the machines were stopped, as for a checkpoint: when their clocks are set, the client of Open vSwitch takes the
    # pause for a silent server, and connects again; the queue delivers again what was not confirmed in time, and the
    # service drops it
    ("/neutron/", r"no response to inactivity probe after [\d.e+]+ seconds, disconnecting"),
    ("/neutron/", r"Found duplicate message\(\w+\)\. Skipping it"),
    ("/nova/", r"Found duplicate message\(\w+\)\. Skipping it"),
)

ALWAYS_BAD = (
    r"pymysql\.err\.(OperationalError|ProgrammingError)|DBConnectionError|DBNonExistentTable",
    r"(ImportError|ModuleNotFoundError|SyntaxError|NameError|NoSuchOptError)\b",
)
"""in anybody's request: the database is out of reach or lacks a table, the program or its configuration is broken"""


def allowed_in(path: str) -> list[str]:
    """Patterns of lines that are harmless in this log."""
    return [pattern for part, pattern in ALLOWED if part in path]

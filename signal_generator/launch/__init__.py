"""What `run_trading` starts and stops: Redis, an exchange, the service and a display.

with Stack(options, report=print) as endpoints:
    ...  # publish to endpoints.stream, read endpoints.executions_stream
"""

from signal_generator.launch.options import Endpoints, LaunchError, StackOptions
from signal_generator.launch.stack import Stack

__all__ = ["Endpoints", "LaunchError", "Stack", "StackOptions"]

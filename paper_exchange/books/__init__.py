"""What is known of each account: cash, positions, orders, executions."""

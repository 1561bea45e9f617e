"""The gate: who asks, and what they may. One table says what each route asks for; what is not in it is not there."""

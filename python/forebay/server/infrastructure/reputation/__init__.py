"""What block lists and receivers think of the addresses that mail is sent from."""

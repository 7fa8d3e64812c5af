def in_a_line(error: BaseException) -> str:
    """What an error says, for the sentence of another."""
    return " ".join(str(error).split())

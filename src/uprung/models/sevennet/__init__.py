"""SevenNet."""

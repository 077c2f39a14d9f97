"""The CHGNet adapter: exact packed forward, and the arms built on it."""

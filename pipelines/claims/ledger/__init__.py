"""The ledger: runs claims, keeps what they gave, and says what has become of each."""

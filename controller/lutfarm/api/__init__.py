"""What a served farm and its clients say to each other: requests and answers, as types."""

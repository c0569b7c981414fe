error("does not load")

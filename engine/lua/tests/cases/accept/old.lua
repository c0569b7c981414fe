return { speed = 1, name = "dep" }

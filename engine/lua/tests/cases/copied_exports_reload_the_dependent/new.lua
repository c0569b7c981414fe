return { speed = 2, name = "dep", __reload = { untouched = "new" } }

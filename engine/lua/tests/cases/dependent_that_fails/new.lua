return { speed = 2, __reload = { untouched = "new" } }

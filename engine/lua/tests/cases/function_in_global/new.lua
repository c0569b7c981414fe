function spawn() return "new" end
count = 2
added = 3

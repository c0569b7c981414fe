function spawn() return "old" end
count = 1

late_global = 2
error("broken")

late_global = 1
return { name = "late" }

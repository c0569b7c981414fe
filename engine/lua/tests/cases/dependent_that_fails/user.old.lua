local speed = require("m").speed
user_loads = (user_loads or 0) + 1
if user_loads > 1 then error("not twice") end
return { speed = function() return speed end }

local speed = require("m").speed
loads = (loads or 0) + 1
local U = { calls = 0 }
function U.speed() U.calls = U.calls + 1 return speed end
return U

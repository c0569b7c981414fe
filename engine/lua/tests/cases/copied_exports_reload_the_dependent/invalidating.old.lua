local hot = require "hot"
local name = require("m").name
invalidating_loads = (invalidating_loads or 0) + 1
hot.accept({ "m" }, function() hot.invalidate() end)
return {}

local M = { handlers = {} }
local log = {}
M.log = log
local function on(event, handler) M.handlers[event] = handler end
M.on = on
on("pause", function(a, b) log[#log + 1] = "new pause" end)
on("start", function() log[#log + 1] = "new start" end)
on("hit", function(damage) log[#log + 1] = "new hit " .. damage end)
on("stop", function() log[#log + 1] = "new stop" end)
return M

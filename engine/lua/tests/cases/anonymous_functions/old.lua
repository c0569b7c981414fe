local M = { handlers = {} }
local log = {}
M.log = log
local function on(event, handler) M.handlers[event] = handler end
M.on = on
on("start", function() log[#log + 1] = "old start" end)
on("hit", function(damage) log[#log + 1] = "old hit " .. damage end)
on("stop", function() log[#log + 1] = "old stop" end)
return M

local M = {}
local function step() return "old" end
function M.start() return coroutine.wrap(function() while true do coroutine.yield(step()) end end) end
M.held = { step }
return M

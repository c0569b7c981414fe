local M = {}
local ticks = 0
M.ticker = coroutine.wrap(function() while true do ticks = ticks + 1 coroutine.yield("new", ticks) end end)
function M.ticks() return ticks end
return M

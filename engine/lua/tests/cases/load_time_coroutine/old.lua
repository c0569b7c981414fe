local M = {}
local ticks = 0
M.ticker = coroutine.wrap(function() while true do ticks = ticks + 1 coroutine.yield("old", ticks) end end)
function M.ticks() return ticks end
return M

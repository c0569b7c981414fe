local M = {}
function M.step() return "new" end
function M.start() return coroutine.wrap(function() while true do coroutine.yield(M.step()) end end) end
return M

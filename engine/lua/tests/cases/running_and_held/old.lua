local M = {}
function M.run() coroutine.yield("old") return "old end" end
return M

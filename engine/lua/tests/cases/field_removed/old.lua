local M = { data = 1 }
function M.gone() return "old" end
function M.changed() return "old" end
function stale() return "global" end
return M

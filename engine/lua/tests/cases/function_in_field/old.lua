local M = {}
function M.name() return "old" end
function M.replaced() return "old" end
function M.cleared() return "old" end
return M

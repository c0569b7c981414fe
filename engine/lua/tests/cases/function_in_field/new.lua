local M = {}
function M.name() return "new" end
function M.replaced() return "new" end
function M.cleared() return "new" end
return M

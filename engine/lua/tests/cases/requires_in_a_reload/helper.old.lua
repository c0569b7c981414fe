local M = {}
function M.name() return "helper" end
return M

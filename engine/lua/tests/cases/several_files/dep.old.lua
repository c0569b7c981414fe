local M = { count = 0 }
function M.g() M.count = M.count + 1 return "old" .. M.count end
return M

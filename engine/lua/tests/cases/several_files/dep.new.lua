local M = { count = 0 }
function M.g() M.count = M.count + 1 return "new" .. M.count end
function M.fresh() return "!" end
return M

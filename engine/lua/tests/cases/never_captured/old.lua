local M = {}
function M.make(a, b)
    return function() return "old", a end
end
return M

local M = {}
function M.make()
    local a = 1
    return function()
        local b = 10
        return function() a = a + 1 b = b + 1 return "old", a, b end
    end
end
return M

local M = { runs = 0 }
function M.__on_load__(bytes)
    M.got = bytes
    M.runs = M.runs + 1
    hooks_order = (hooks_order or "") .. "load "
end
function M.__hotfix(module)
    hooks_order = hooks_order .. "hotfix"
    module.fixed = module == M
end
return M

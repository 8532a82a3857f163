(******************************************************************************)
(*      Names for the evaluator's lists over a ring                           *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From Coq Require List.
From AlgebraicCNN.checker Require Import evaluator.
Import GRing.Theory.
Local Open Scope ring_scope.

Module Export OverARing.
Notation num l i := (List.nth i l 0).
Notation row l i := (List.nth i l nil).
Notation plus := (fun a b => a + b).
Notation mult := (fun k v => k * v).
End OverARing.

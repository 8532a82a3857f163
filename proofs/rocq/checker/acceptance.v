(******************************************************************************)
(*      What agreement at random points of F_p is worth                       *)
(*                                                                            *)
(* Over any commutative ring the evaluator is an affine map of its flat       *)
(* input.  So two networks over a finite field F that are not the same        *)
(* function agree at no more than one in |F| of all points (Freivalds).       *)
(*                                                                            *)
(*   run_in net ss x == what the network makes of the column x             *)
(*   forms_in net ss n == its affine forms in n unknowns                   *)
(*   meet A B ss == the columns of which two networks make the same        *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From AlgebraicCNN Require Import freivalds.
From AlgebraicCNN.checker Require Import evaluator.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Local Open Scope ring_scope.

Section Affine.
Variables (K : comRingType) (ss : list shape) (n : nat).
Implicit Types (net : seq (layer K)) (x : 'cV[K]_n).

Definition affine := ('rV[K]_n * K)%type.
Definition at_point x (f : affine) : K := (f.1 *m x) 0 0 + f.2.
Definition add_forms (f g : affine) : affine := (f.1 + g.1, f.2 + g.2).
Definition scale_form (k : K) (f : affine) : affine := (k *: f.1, k * f.2).
Definition unknowns : seq affine := List.map (fun j => (delta_mx 0 j, 0)) (enum 'I_n).
Definition entries x : seq K := List.map (fun j => x j 0) (enum 'I_n).
Definition run_in net x : seq K :=
  output 0 1 (fun a b => a + b) (fun k v => k * v) net (cut ss (entries x)).
Definition forms_in net : seq affine :=
  output (0, 0) (0, 1) add_forms scale_form net (cut ss unknowns).

Lemma forms_related net x : List.Forall2 (fun a f => a = at_point x f) (run_in net x) (forms_in net).
Proof.
rewrite /forms_in -[in output _ _ add_forms _ net _](map_layer_id net).
apply: (@output_rel _ _ _ _ _ _ _ _ _ _ _ _ _ _ (fun=> True)) => //.
- by rewrite /at_point mul0mx mxE addr0.
- by rewrite /at_point mul0mx mxE add0r.
- by move=> a f b g -> ->; rewrite /at_point /= mulmxDl addrACA; congr (_ + _); rewrite [RHS]mxE.
- by move=> k a f _ ->; rewrite /at_point /= -scalemxAl mulrDr; congr (_ + _); rewrite [RHS]mxE.
- elim: net => [|l net IH]; constructor=> //; split; last split.
  + by elim: (feeds l); constructor.
  + by elim: (kernel l) => [|r k IHk]; constructor=> //; elim: r; constructor.
  + by elim: (bias l); constructor.
apply: cut_rel; rewrite /entries /unknowns; elim: (enum 'I_n) => [|j s IH] /=; constructor=> //.
by rewrite /at_point -rowE mxE addr0.
Qed.

Lemma run_in_forms net x : run_in net x = map (at_point x) (forms_in net).
Proof. by elim: (forms_related net x) => //= a f s t -> _ ->. Qed.

Variable m : nat.
Definition W_in net : 'M[K]_(m, n) := \matrix_(i, j) (nth (0, 0) (forms_in net) i).1 0 j.
Definition B_in net : 'cV[K]_m := \col_i (nth (0, 0) (forms_in net) i).2.
Lemma run_in_affine net x (i : 'I_m) : size (forms_in net) = m ->
  nth 0 (run_in net x) i = (W_in net *m x + B_in net) i 0.
Proof.
move=> s; rewrite run_in_forms (nth_map (0, 0)) ?s // /at_point !mxE; congr (_ + _).
by apply: eq_bigr => j _; rewrite !mxE.
Qed.
End Affine.

Section Accept.
Variables (F : finFieldType) (ss : list shape) (n : nat) (A B : seq (layer F)).
Definition meet : {set 'cV[F]_n} := [set x | run_in ss A x == run_in ss B x].
Hypothesis sizes : size (forms_in ss n A) = size (forms_in ss n B).
Let m := size (forms_in ss n B).

Lemma size_run net (x : 'cV[F]_n) : size (run_in ss net x) = size (forms_in ss n net).
Proof. by rewrite run_in_forms size_map. Qed.

Lemma meetP : meet = agree (W_in ss n m A) (W_in ss n m B) (B_in ss n m A) (B_in ss n m B).
Proof.
apply/setP => x; rewrite !inE; apply/eqP/eqP => [E|/matrixP E].
  by apply/matrixP => i k; rewrite ord1 -!run_in_affine ?E.
apply: (@eq_from_nth _ 0) => [|i]; first by rewrite !size_run.
rewrite size_run sizes => im; rewrite -[i]/(nat_of_ord (Ordinal im)).
by rewrite !run_in_affine ?E.
Qed.

(* they are one function, or they meet at one in |F| of all points at the most *)
Theorem accepted : (forall x : 'cV[F]_n, run_in ss A x = run_in ss B x) \/ (#|meet| * #|F| <= #|{: 'cV[F]_n}|)%N.
Proof.
case E: ((W_in ss n m A, B_in ss n m A) == (W_in ss n m B, B_in ss n m B)).
  left=> x; apply/eqP; suff: x \in meet by rewrite inE.
  by rewrite meetP inE; move/eqP: E => [-> ->].
by right; rewrite meetP; apply: freivalds => /eqP; rewrite E.
Qed.
End Accept.

Print Assumptions accepted.
